(() => {
'use strict';
// Finds eight hexadecimal digits so that SHA-256 over `work` and them begins with `bits` zeros.
const { puzzle, bits } = document.currentScript.dataset;
const work = puzzle.slice(-32), zeros = 32 - bits;
const [say, bar, again] = ['say', 'bar', 'again'].map(id => document.getElementById(id));
const tell = text => { say.textContent = text; };
const fail = text => { tell(text); bar.hidden = true; again.hidden = false; };

if (!navigator.cookieEnabled)
  return fail('This needs cookies. Please allow them for this site and try again.');
try {
  // Whoever does not keep the pass would come back for ever.
  const [tries, when] = (sessionStorage.tidegate || '0 0').split(' '), now = Date.now();
  const count = now - when < 6e4 ? +tries + 1 : 1;
  sessionStorage.tidegate = count > 3 ? '0 0' : count + ' ' + now;
  if (count > 3)
    return fail('Your browser did not keep what it was given, or your connection changes all the time. Please try again.');
} catch {}

// SHA-256 of one block (FIPS 180-4): browsers lend theirs only to pages that came over TLS.
const K = new Int32Array(64), H = [], W = new Int32Array(64);
for (let n = 2, count = 0; count < 64; n++) {
  let d = 2;
  while (n % d) d++;
  if (d < n) continue;
  if (count < 8) H.push(Math.sqrt(n) * 2 ** 32 | 0);
  K[count++] = Math.cbrt(n) * 2 ** 32 | 0;
}
const turn = (x, n) => x >>> n | x << 32 - n;
const first = () => {
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15], y = W[i - 2];
    W[i] = W[i - 16] + W[i - 7] + (turn(x, 7) ^ turn(x, 18) ^ x >>> 3) + (turn(y, 17) ^ turn(y, 19) ^ y >>> 10);
  }
  let a = H[0], b = H[1], c = H[2], d = H[3], e = H[4], f = H[5], g = H[6], h = H[7];
  for (let i = 0; i < 64; i++) {
    const t = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (e & f ^ ~e & g) + K[i] + W[i] | 0;
    const u = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (a & b ^ a & c ^ b & c);
    h = g; g = f; f = e; e = d + t | 0; d = c; c = b; b = a; a = t + u | 0;
  }
  return a + H[0] >>> zeros;
};
const word = (text, at) => text.charCodeAt(at) << 24 | text.charCodeAt(at + 1) << 16 | text.charCodeAt(at + 2) << 8 | text.charCodeAt(at + 3);
const hex = n => n.toString(16).padStart(4, '0');
const quads = Int32Array.from({ length: 65536 }, (_, n) => word(hex(n), 0));
for (let i = 0; i < 8; i++) W[i] = word(work, 4 * i);
W[10] = 1 << 31;
W[15] = 320;

const send = async digits => {
  tell('Done. The page is loading.');
  bar.value = 1;
  const headers = { accept: 'text/html', 'tidegate-solution': puzzle + digits };
  try {
    const { status } = await fetch(location.origin + location.pathname + location.search, { headers, cache: 'no-store' });
    if (status == 204) return location.reload();
  } catch {}
  fail('That did not work. Please try again.');
};

let n = 0;
const began = Date.now(), { port1, port2 } = new MessageChannel();
// A piece at a time, so that the page can be read and left; timers would sleep in a tab behind.
port1.onmessage = () => {
  for (const end = Date.now() + 25; Date.now() < end;) {
    W[8] = quads[n >>> 16];
    for (const stop = n + 256; n < stop; n++) {
      W[9] = quads[n & 65535];
      if (!first()) return send(hex(n >>> 16) + hex(n & 65535));
    }
  }
  bar.value = 1 - Math.exp(-n / 2 ** bits);
  if (Date.now() - began > 8e3) tell('Still working. Some devices take longer.');
  port2.postMessage(0);
};
bar.hidden = false;
tell('Working. This takes a few seconds.');
port2.postMessage(0);
})();
