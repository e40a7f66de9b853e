import type { ServerOptions } from '@theazo/server'

/** Code must not notice whether what runs it was started before it came. */
export const settings: [string, NonNullable<ServerOptions['sandbox']>][] = [
  ['started ahead', {}],
  ['started when asked', { warmProcesses: 0, warmNodes: 0, poolSize: 0 }],
]
