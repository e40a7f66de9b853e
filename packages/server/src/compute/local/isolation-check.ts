import { SandboxStartError } from '../../errors.ts'
import type { Sandbox } from '../compute-provider.ts'
import type { HostUser } from './host-uid.ts'

const timeoutMs = 30_000

/**
 * Checks the isolation of a sandbox from inside.
 *
 * @throws {SandboxStartError} if it is not isolated, or lacks an interpreter.
 */
export async function checkIsolation(sandbox: Sandbox, user: HostUser): Promise<void> {
  if (user.uid === 0) throw new SandboxStartError('The sandbox would run as root, which is never allowed.')
  let output = ''
  const collect = (chunk: Uint8Array): void => void (output += Buffer.from(chunk).toString())
  const request = { lang: 'bash', code: checkScript, env: { EXPECTED: `${user.uid}` }, maxOutputBytes: 4096 } as const
  const signal = AbortSignal.timeout(timeoutMs)
  const { exitCode } = await sandbox.exec(request, { stdout: collect, stderr: collect }, signal)
  if (exitCode !== 0) throw new SandboxStartError(`The sandbox is not usable: ${output.trim()}`)
}

const checkScript = `
fail() { echo "$1"; exit 1; }
read -r _ outside _ < /proc/self/uid_map
[[ $EUID == "$EXPECTED" && $outside == "$EXPECTED" ]] || fail "it runs as uid $EUID ($outside outside) and not as $EXPECTED"
[[ -w /proc/sys/kernel/core_pattern ]] && fail 'it could write to /proc/sys, so it is root outside'
[[ -w /workspace && -w /home/agent ]] || fail '/workspace is not writable'
[[ -x /opt/node/bin/node ]] || fail "/opt/node/bin/node is not executable"
exit 0
`
