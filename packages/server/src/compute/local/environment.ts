/** The environment of code, before an exec adds variables. */
const defaultEnvironment: Readonly<Record<string, string>> = {
  // Bash uses the same Node as TypeScript. Programs that pip installs come last, so that they cannot replace others.
  PATH: '/opt/node/bin:/usr/local/bin:/usr/bin:/bin:/home/agent/.local/bin',
  HOME: '/home/agent',
  USER: 'agent',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
  PIP_BREAK_SYSTEM_PACKAGES: '1', // pip installs below the agent's home, where it breaks nothing (PEP 668)
  PYTHONUNBUFFERED: '1', // for child processes; the interpreter of an exec writes immediately in any case (inside/live_output.py)
  PYTHONPATH: '/workspace', // code is stored elsewhere, but imports modules from here
}

/** The environment with these variables added. /workspace stays the first entry of `PYTHONPATH`, so that code always finds the user's modules. */
export function environmentOf(added: Readonly<Record<string, string>>): Record<string, string> {
  const { PYTHONPATH: own } = defaultEnvironment
  const { PYTHONPATH: given } = added
  return {
    ...defaultEnvironment,
    ...added,
    ...(own && given !== undefined && { PYTHONPATH: given ? `${own}:${given}` : own }),
  }
}
