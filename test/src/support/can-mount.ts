import { spawnSync } from 'node:child_process'

/** Only root may mount, and in some containers not even root. */
export const canMount: boolean =
  process.getuid?.() === 0 && spawnSync('/usr/bin/unshare', ['--mount', '/bin/true']).status === 0
