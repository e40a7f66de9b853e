/** Limits of `http_request`. */

/** Bytes of a body that are read, after decompression. */
export const maxShownBytes: number = 1024 * 1024
/** Bytes of a body that are read before decompression: a stream of empty blocks would never reach the other limit. */
export const maxReceivedBytes: number = 2 * maxShownBytes
/** Characters of the answer's headers in the result. */
export const maxHeaderChars = 8000
/** For a whole call, redirects included. */
export const timeoutSeconds = 30
