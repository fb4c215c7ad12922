//! Bodies without their content codings (RFC 9110 §8.4), within bounds.
//!
//! Rules look at what a server will see once it has decoded. Input that ends early, is followed
//! by more or is not what it claims to be is a fault, and never a prefix that is silently short.

mod coding;

use std::collections::VecDeque;

use coding::{Coding, Step};

use crate::body::Limits;

/// How many codings may be on top of each other.
const CODINGS: usize = 2;
/// How long a body may always be, whatever the ratio: short ones may well be one repeated byte.
const FREE_BYTES: u64 = 64 << 10;
/// What one step decodes at most.
const STEP_BYTES: usize = 16 << 10;

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("content coding: one that is not known")]
    Unknown,
    #[error("content coding: more than {CODINGS} on top of each other")]
    Several,
    #[error("content coding: invalid {0}")]
    Corrupt(&'static str),
    #[error("content coding: {0} ends early")]
    Cut(&'static str),
    #[error("content coding: more bytes behind the end of {0}")]
    Trailing(&'static str),
    #[error("content coding: decoded, the body is longer than allowed")]
    TooLong,
    #[error("content coding: the body is more times longer than allowed")]
    Ratio,
}

impl DecodeError {
    /// Whether the body may be right, but has more in it than is read.
    pub(crate) const fn is_bound(&self) -> bool {
        matches!(self, Self::Several | Self::TooLong | Self::Ratio)
    }
}

/// A body that is being decoded.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The outermost, which was applied last, is first.
    layers: VecDeque<Layer>,
    decoded_bytes: u64,
    ratio: u64,
    fed: u64,
    fault: Option<DecodeError>,
}

#[derive(Debug)]
struct Layer {
    coding: Coding,
    /// What it made so far, bytes.
    made: u64,
    /// What it makes in one step; STEP_BYTES.
    buffer: Vec<u8>,
}

impl Decoder {
    /// For the value of the request's `Content-Encoding`, or none if that names no coding.
    ///
    /// # Errors
    /// When it names one that is not known, or too many.
    pub(crate) fn new(
        content_encoding: &[u8],
        limits: &Limits,
    ) -> Result<Option<Self>, DecodeError> {
        let mut layers = VecDeque::new();
        for name in content_encoding.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            if layers.len() >= CODINGS {
                return Err(DecodeError::Several);
            }
            let coding = Coding::new(name).ok_or(DecodeError::Unknown)?;
            layers.push_front(Layer { coding, made: 0, buffer: vec![0; STEP_BYTES] });
        }
        let decoder = Self {
            layers,
            decoded_bytes: limits.decoded_bytes as u64,
            ratio: limits.ratio as u64,
            fed: 0,
            fault: None,
        };
        Ok(if decoder.layers.is_empty() { None } else { Some(decoder) })
    }

    /// Decodes the next bytes, and adds what becomes of them to `out`.
    ///
    /// # Errors
    /// The fault, from the first on.
    pub(crate) fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.fed += chunk.len() as u64;
        let free = FREE_BYTES.max(self.fed.saturating_mul(self.ratio));
        let bounds = Bounds { total: self.decoded_bytes, by_ratio: free };
        let result = run(self.layers.make_contiguous(), chunk, &bounds, out);
        self.fault = result.err();
        result
    }

    /// Whether the body has ended where its coding does.
    ///
    /// # Errors
    /// When it has not, or there was a fault before. No bytes at all are no body, and no error.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let cut = self.layers.iter().find(|layer| self.fed > 0 && !layer.coding.is_at_end());
        cut.map_or(Ok(()), |layer| Err(DecodeError::Cut(layer.coding.name())))
    }
}

struct Bounds {
    total: u64,
    by_ratio: u64,
}

/// Runs `input` through all `layers`; there are at most CODINGS, so it calls itself so often.
fn run(
    layers: &mut [Layer],
    input: &[u8],
    bounds: &Bounds,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let Some((layer, inner)) = layers.split_first_mut() else {
        out.extend_from_slice(input);
        return Ok(());
    };
    let Layer { coding, made, buffer } = layer;
    let mut rest = input;
    loop {
        let Step { read, written } = coding.step(rest, buffer)?;
        rest = &rest[read..];
        *made += written as u64;
        if *made > bounds.total {
            return Err(DecodeError::TooLong);
        }
        if *made > bounds.by_ratio {
            return Err(DecodeError::Ratio);
        }
        run(inner, &buffer[..written], bounds, out)?;
        // A full buffer may mean that there is more without more input.
        if rest.is_empty() && written < buffer.len() {
            return Ok(());
        }
        if read == 0 && written == 0 {
            return Err(DecodeError::Corrupt(coding.name()));
        }
    }
}

#[cfg(test)]
mod tests;
