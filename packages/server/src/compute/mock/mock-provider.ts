import { ApiError } from '../../errors.ts'
import { abortableSleep } from '../../or-abort.ts'
import { mockedError } from './mocked-error.ts'
import type { ComputeProvider, ExecOutcome, ExecRequest, OutputSink, Sandbox } from '../compute-provider.ts'
import { numberOf, readDirectives } from './directives.ts'
import { printed } from './printed.ts'

/**
 * The provider of test keys: it runs nothing. A result depends only on the text of the code, so it is always the same. The
 * README lists the directives (Test keys).
 */
export function createMockProvider(): ComputeProvider {
  return {
    name: 'mock',
    hasNetwork: true, // accepted, like everything else here
    waitingStarts: 0,
    create: async ({ id }) => mockSandbox(id),
    // Every sandbox exists, also after a restart of the server.
    attach: async ({ id }) => mockSandbox(id),
    sizeOf: async () => 0,
    writers: async () => [],
    prune: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
}

/** The duration that each exec reports: the example of the API reference. */
const reportedDurationMs = 312

function mockSandbox(id: string): Sandbox {
  return { id, prepare: nothing, exec, pause: nothing, resume: nothing, terminate: nothing }
}

const nothing = async (): Promise<void> => {}

async function exec({ lang, code }: ExecRequest, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome> {
  const directives = readDirectives(code)
  signal.throwIfAborted()
  await abortableSleep(numberOf(directives, 'delay') ?? 0, signal)
  const failure = directives.get('error')
  if (failure !== undefined) throw mockedError(failure)
  if (directives.has('timeout'))
    throw new ApiError('timeout', 'The code ran longer than 120 s and was killed (mocked).')
  const stdout = directives.get('stdout') ?? printed(lang, code)
  const stderr = directives.get('stderr') ?? ''
  if (stdout !== '') sink.stdout(Buffer.from(stdout))
  if (stderr !== '') sink.stderr(Buffer.from(stderr))
  const isTruncated = directives.has('truncated')
  return {
    exitCode: numberOf(directives, 'exit') ?? 0,
    durationMs: reportedDurationMs,
    ...(isTruncated && { stdoutTruncated: true, stderrTruncated: true }),
  }
}
