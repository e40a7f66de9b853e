/** Each with its length before it, as 32 bits, the lower first. */
export function withLengths(blobs: readonly Uint8Array[]): Uint8Array[] {
  return blobs.flatMap((blob) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(blob.length)
    return [length, blob]
  })
}
