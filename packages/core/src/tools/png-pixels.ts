/** Samples per pixel, by colour type (PNG, section 11.2.2). */
const samples: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
/** The start (x, y) and the steps (x, y) of the seven passes of an interlaced image (PNG, section 8.2). */
const passes: readonly (readonly [number, number, number, number])[] = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
]
/** Larger images are not checked: to unpack them would take seconds. */
const maxCheckedBytes = 128 * 1024 * 1024

/**
 * True if the pixels of a PNG unpack to exactly the number of bytes that follows from its header. Code that writes PNG
 * itself may create files that no provider can decode although every chunk is valid.
 *
 * @param bytes a PNG whose chunks are complete.
 */
export async function hasAllPixels(bytes: Uint8Array): Promise<boolean> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [width, height, depth, colour, interlace] = [
    view.getUint32(16),
    view.getUint32(20),
    view.getUint8(24),
    view.getUint8(25),
    view.getUint8(28),
  ]
  const bitsPerPixel = depth * (samples[colour] ?? 0)
  if (bitsPerPixel === 0 || interlace > 1) return false
  const wanted = interlace === 0 ? rowsBytes(width, height, bitsPerPixel) : interlacedBytes(width, height, bitsPerPixel)
  if (wanted > maxCheckedBytes) return true
  const packed = new Blob(imageData(bytes, view))
  let sizeBytes = 0
  try {
    const unpacked = packed.stream().pipeThrough(new DecompressionStream('deflate')).getReader()
    for (let chunk; !(chunk = await unpacked.read()).done;) {
      sizeBytes += chunk.value.length
      if (sizeBytes > wanted) {
        await unpacked.cancel()
        return false
      }
    }
  } catch {
    return false
  }
  return sizeBytes === wanted
}

/** A byte for the filter precedes each row. */
function rowsBytes(width: number, height: number, bitsPerPixel: number): number {
  return width === 0 ? 0 : height * (1 + Math.ceil((width * bitsPerPixel) / 8))
}

function interlacedBytes(width: number, height: number, bitsPerPixel: number): number {
  const sizes = passes.map(([x, y, stepX, stepY]) => {
    const columns = Math.max(0, Math.ceil((width - x) / stepX))
    return rowsBytes(columns, Math.max(0, Math.ceil((height - y) / stepY)), bitsPerPixel)
  })
  return sizes.reduce((sum, size) => sum + size, 0)
}

function imageData(bytes: Uint8Array, view: DataView): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = []
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at)
    if (view.getUint32(at + 4) === 0x49444154) parts.push(bytes.slice(at + 8, at + 8 + length)) // IDAT
    at += 12 + length
  }
  return parts
}
