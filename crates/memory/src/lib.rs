//! The allocator: mimalloc, asked in the way that takes least.
//!
//! The crate `mimalloc` asks for every block with its alignment, which takes three times the
//! instructions of asking without; nearly no block needs more alignment than all have. A
//! request has some sixty to two hundred blocks.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use libmimalloc_sys as mimalloc;

/// What every block is aligned to that is at least as large, as for C's `max_align_t`
/// (`MI_MAX_ALIGN_SIZE`).
const ALIGNED: usize = 16;

/// mimalloc as a global allocator.
#[derive(Debug)]
pub struct Allocator;

fn is_aligned_anyway(layout: Layout, size: usize) -> bool {
    layout.align() <= ALIGNED && layout.align() <= size
}

#[expect(unsafe_code, reason = "an allocator is one by its promises alone")]
// SAFETY: the blocks are mimalloc's, which keeps what C asks of an allocator: a block is of at
// least the size asked for and nobody else's until it is freed, by any thread; none is null
// but for want of memory, and nothing unwinds. Each is aligned as its layout says: mimalloc is
// told so, unless it aligns blocks of that size as far anyway. What was asked for with an
// alignment may be freed and asked for anew without one.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = match is_aligned_anyway(layout, layout.size()) {
            // SAFETY: both take any size, and any alignment that a layout has: a power of two.
            true => unsafe { mimalloc::mi_malloc(layout.size()) },
            false => unsafe { mimalloc::mi_malloc_aligned(layout.size(), layout.align()) },
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = match is_aligned_anyway(layout, layout.size()) {
            // SAFETY: as for `alloc`.
            true => unsafe { mimalloc::mi_zalloc(layout.size()) },
            false => unsafe { mimalloc::mi_zalloc_aligned(layout.size(), layout.align()) },
        };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's block is from here, and not freed yet.
        unsafe { mimalloc::mi_free(block.cast::<c_void>()) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let block = block.cast::<c_void>();
        let block = match is_aligned_anyway(layout, size) {
            // SAFETY: the caller's block is from here, and not freed yet; sizes and alignments
            // as for `alloc`.
            true => unsafe { mimalloc::mi_realloc(block, size) },
            false => unsafe { mimalloc::mi_realloc_aligned(block, size, layout.align()) },
        };
        block.cast()
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "an allocator is asked for what it promises")]
mod tests {
    use super::*;

    const SIZES: [usize; 14] = [1, 2, 7, 8, 9, 15, 16, 17, 24, 100, 1024, 4097, 70_000, 3_000_000];

    /// Every size with every alignment, some blocks of each at once.
    fn check(with: impl Fn(&mut [Vec<*mut u8>], Layout)) {
        let mut held = vec![Vec::new(); 3];
        for size in SIZES {
            for align in (0..13).map(|bit| 1 << bit) {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                with(&mut held, layout);
                for block in held.iter_mut().flat_map(|held| held.drain(..)) {
                    // SAFETY: it was made with this layout.
                    unsafe { Allocator.dealloc(block, layout) };
                }
            }
        }
    }

    fn assert_aligned(block: *mut u8, layout: Layout) {
        assert!(!block.is_null(), "{layout:?}");
        assert_eq!(block.addr() % layout.align(), 0, "{layout:?}");
    }

    #[test]
    fn blocks_are_aligned_and_apart() {
        check(|held, layout| {
            for (mark, held) in held.iter_mut().enumerate() {
                // SAFETY: no layout here is of size zero, and what is written is inside.
                let block = unsafe { Allocator.alloc(layout) };
                assert_aligned(block, layout);
                unsafe { block.write_bytes(mark as u8 + 1, layout.size()) };
                held.push(block);
            }
            for (mark, held) in held.iter().enumerate() {
                // SAFETY: all of it was written.
                let bytes = unsafe { std::slice::from_raw_parts(held[0], layout.size()) };
                assert!(bytes.iter().all(|byte| *byte == mark as u8 + 1), "{layout:?}");
            }
        });
    }

    #[test]
    fn zeroed_blocks_are_zero_where_others_have_written() {
        for _ in 0..2 {
            check(|held, layout| {
                // SAFETY: no layout here is of size zero, and a zeroed block may be read.
                let block = unsafe { Allocator.alloc_zeroed(layout) };
                assert_aligned(block, layout);
                let bytes = unsafe { std::slice::from_raw_parts_mut(block, layout.size()) };
                assert!(bytes.iter().all(|byte| *byte == 0), "{layout:?}");
                bytes.fill(0xff);
                held[0].push(block);
            });
        }
    }

    #[test]
    fn a_block_that_grows_or_shrinks_keeps_its_bytes_and_its_alignment() {
        for size in SIZES {
            check(|held, layout| {
                // SAFETY: no layout here is of size zero; each is read as far as it was
                // written, and goes on with the layout that it has.
                let block = unsafe { Allocator.alloc(layout) };
                unsafe { block.write_bytes(7, layout.size()) };
                let block = unsafe { Allocator.realloc(block, layout, size) };
                assert_aligned(block, layout);
                let kept = size.min(layout.size());
                let bytes = unsafe { std::slice::from_raw_parts(block, kept) };
                assert!(bytes.iter().all(|byte| *byte == 7), "{layout:?} to {size}");
                let now = Layout::from_size_align(size, layout.align()).expect("a layout");
                held[0].push(unsafe { Allocator.realloc(block, now, layout.size()) });
            });
        }
    }
}
