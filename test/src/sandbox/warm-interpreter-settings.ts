import type { ServerOptions } from '@theazo/server'

/** Code must not notice whether its interpreter is warm or starts for it. */
export const interpreterSettings: [string, NonNullable<ServerOptions['sandbox']>][] = [
  ['warm', {}],
  ['started on demand', { warmProcesses: 0, warmNodes: 0, poolSize: 0 }],
]
