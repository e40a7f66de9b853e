/** The properties of an image from its header. */
export interface ImageInfo {
  mediaType: 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp'
  width: number
  height: number
  isAnimated: boolean
  /** False if the file is cut or damaged. */
  isWhole: boolean
}

type Header = Omit<ImageInfo, 'mediaType'>

/**
 * Reads the header of a PNG, JPEG, GIF or WebP file and checks its structure to the end. It does not decode pixels.
 *
 * @returns undefined for any other file.
 */
export function imageInfo(bytes: Uint8Array): ImageInfo | undefined {
  const head = ascii(bytes, 0, 12)
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return { mediaType: 'image/png', ...png(bytes) }
  if (head.startsWith('\xff\xd8\xff')) return { mediaType: 'image/jpeg', ...jpeg(bytes) }
  if (/^GIF8[79]a/.test(head)) return { mediaType: 'image/gif', ...gif(bytes) }
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return { mediaType: 'image/webp', ...webp(bytes) }
  return undefined
}

const damaged: Header = { width: 0, height: 0, isAnimated: false, isWhole: false }

/** PNG, section 5: chunks of length, type, data and CRC, from IHDR to IEND. */
function png(bytes: Uint8Array): Header {
  const view = viewOf(bytes)
  if (bytes.length < 33 || ascii(bytes, 12, 4) !== 'IHDR') return damaged
  const header = { width: view.getUint32(16), height: view.getUint32(20), isAnimated: false }
  let hasPixels = false
  for (let at = 8; at + 12 <= bytes.length;) {
    const type = ascii(bytes, at + 4, 4)
    const end = at + 12 + view.getUint32(at)
    if (end > bytes.length || crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4)) break
    if (type === 'IDAT') hasPixels = true
    if (type === 'IEND') return { ...header, isWhole: hasPixels }
    at = end
  }
  return { ...header, isWhole: false }
}

/** JPEG (ITU T.81, annex B): segments up to the scan, whose data ends with the marker EOI. */
function jpeg(bytes: Uint8Array): Header {
  const view = viewOf(bytes)
  let header = damaged
  for (let at = 2; at + 4 <= bytes.length;) {
    if (bytes[at] !== 0xff) return damaged
    const marker = bytes[at + 1] ?? 0
    if (marker === 0xff) {
      at += 1 // fill bytes may precede a marker
      continue
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame && at + 9 <= bytes.length) {
      header = { ...damaged, height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
    }
    if (marker === 0xda) return { ...header, isWhole: endOfImage(bytes) > at + 2 + view.getUint16(at + 2) }
    at += 2 + view.getUint16(at + 2)
  }
  return header
}

/** The index after the colour table that starts at `at`. The flags state whether there is one. */
function afterColourTable(at: number, flags: number): number {
  return at + (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0)
}

function endOfImage(bytes: Uint8Array): number {
  let at = bytes.length - 2
  while (at >= 0 && !(bytes[at] === 0xff && bytes[at + 1] === 0xd9)) at -= 1
  return at
}

/** GIF89a, section 17: blocks up to the trailer; more than one image is an animation. */
function gif(bytes: Uint8Array): Header {
  if (bytes.length < 13) return damaged
  const view = viewOf(bytes)
  const header = { width: view.getUint16(6, true), height: view.getUint16(8, true) }
  const afterBlocks = (at: number): number => {
    let end = at
    while ((bytes[end] ?? 0) > 0) end += 1 + (bytes[end] ?? 0)
    return end + 1
  }
  let images = 0
  for (let at = afterColourTable(13, bytes[10] ?? 0); at < bytes.length;) {
    if (bytes[at] === 0x3b) return { ...header, isAnimated: images > 1, isWhole: images > 0 }
    if (bytes[at] === 0x21) at = afterBlocks(at + 2)
    else if (bytes[at] === 0x2c) {
      const data = afterColourTable(at + 10, bytes[at + 9] ?? 0) + 1
      if ((bytes[data] ?? 0) > 0) images += 1
      at = afterBlocks(data)
    } else break
  }
  return { ...header, isAnimated: images > 1, isWhole: false }
}

/** WebP (RFC 9649, section 2): the RIFF header has the size of the file, the first chunk the format. */
function webp(bytes: Uint8Array): Header {
  if (bytes.length < 30) return damaged
  const view = viewOf(bytes)
  const isWhole = hasFrame(bytes, view)
  const type = ascii(bytes, 12, 4)
  if (type === 'VP8X') {
    const side = (at: number): number => 1 + view.getUint16(at, true) + ((bytes[at + 2] ?? 0) << 16)
    return { width: side(24), height: side(27), isAnimated: ((bytes[20] ?? 0) & 2) !== 0, isWhole }
  }
  if (type === 'VP8L' && bytes[20] === 0x2f) {
    const bits = view.getUint32(21, true)
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff), isAnimated: false, isWhole }
  }
  if (type === 'VP8 ' && ascii(bytes, 23, 3) === '\x9d\x01\x2a') {
    const side = (at: number): number => view.getUint16(at, true) & 0x3fff
    return { width: side(26), height: side(28), isAnimated: false, isWhole }
  }
  return damaged
}

/** True if the file is as long as its header states, and contains the data of at least one image. */
function hasFrame(bytes: Uint8Array, view: DataView): boolean {
  const end = 8 + view.getUint32(4, true)
  if (end > bytes.length) return false
  for (let at = 12; at + 8 <= end;) {
    const sizeBytes = view.getUint32(at + 4, true)
    if (at + 8 + sizeBytes > end) return false
    if (/^(VP8 |VP8L|ANMF)$/.test(ascii(bytes, at, 4)) && sizeBytes > 0) return true
    at += 8 + sizeBytes + (sizeBytes % 2)
  }
  return false
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

/** Bytes as characters of the same code. */
function ascii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length))
}

/** PNG, annex D. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
  return value
})
