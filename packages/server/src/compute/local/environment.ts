/** What code finds in its environment, before what an exec adds. */
export const defaultEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/bin:/usr/bin:/bin:/opt/node/bin',
  HOME: '/home/agent',
  USER: 'agent',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
  PYTHONPATH: '/workspace', // the code is read from elsewhere, but imports from here
}
