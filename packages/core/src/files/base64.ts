const alphabet = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
const padding = 0x3d // =

/** Base64 (RFC 4648, section 4). `btoa` is not used: for megabytes it takes twenty times as long. */
export function toBase64(bytes: Uint8Array): string {
  const text = new Uint8Array(4 * Math.ceil(bytes.length / 3))
  let to = 0
  for (let at = 0; at < bytes.length; at += 3) {
    const a = bytes[at] ?? 0
    const b = bytes[at + 1] ?? 0
    const c = bytes[at + 2] ?? 0
    text[to++] = alphabet[a >> 2] ?? 0
    text[to++] = alphabet[((a & 3) << 4) | (b >> 4)] ?? 0
    text[to++] = alphabet[((b & 15) << 2) | (c >> 6)] ?? 0
    text[to++] = alphabet[c & 63] ?? 0
  }
  const missing = (3 - (bytes.length % 3)) % 3
  text.fill(padding, text.length - missing)
  return new TextDecoder().decode(text)
}
