// Removes dist/ of the current package before its build, so that no module of a deleted source file is packed.
import { rmSync } from 'node:fs'

rmSync('dist', { recursive: true, force: true })
