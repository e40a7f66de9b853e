/** What code finds in its environment, before what an exec adds. */
const defaultEnvironment: Readonly<Record<string, string>> = {
  PATH: '/opt/node/bin:/usr/local/bin:/usr/bin:/bin', // bash has the node that TypeScript runs on
  HOME: '/home/agent',
  USER: 'agent',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
  PYTHONUNBUFFERED: '1', // of what code starts; its own interpreter writes at once anyway (inside/live_output.py)
  PYTHONPATH: '/workspace', // the code is read from elsewhere, but imports from here
}

/** With what is added: modules of the user are found whatever `PYTHONPATH` says, as beside any script. */
export function environmentOf(added: Readonly<Record<string, string>>): Record<string, string> {
  const { PYTHONPATH: own } = defaultEnvironment
  const { PYTHONPATH: given } = added
  return {
    ...defaultEnvironment,
    ...added,
    ...(own && given !== undefined && { PYTHONPATH: given ? `${own}:${given}` : own }),
  }
}
