/** Of this package; a test holds it to package.json, which a runtime without a file system cannot read. */
export const version = '0.0.0'
