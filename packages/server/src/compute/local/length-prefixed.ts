/** Puts its length before each blob: 32 bits, little endian. */
export function lengthPrefixed(blobs: readonly Uint8Array[]): Uint8Array[] {
  return blobs.flatMap((blob) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(blob.length)
    return [length, blob]
  })
}
