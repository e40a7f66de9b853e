// Removes the dist/ of the package that is built: a module whose source is gone must not be packed.
import { rmSync } from 'node:fs'

rmSync('dist', { recursive: true, force: true })
