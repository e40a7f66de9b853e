/** The version of this package. A test compares it with package.json, which not every runtime can read. */
export const version = '0.0.0'
