/** What code finds in its environment, before what an exec adds. */
const defaultEnvironment: Readonly<Record<string, string>> = {
  // Bash has the node that TypeScript runs on. What pip installs comes last: nobody can take the name of a program by it.
  PATH: '/opt/node/bin:/usr/local/bin:/usr/bin:/bin:/home/agent/.local/bin',
  HOME: '/home/agent',
  USER: 'agent',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
  PIP_BREAK_SYSTEM_PACKAGES: '1', // pip installs below the agent's home, where it breaks nothing (PEP 668)
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
