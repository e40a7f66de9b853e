/** One tool call of a scripted model, and the text that it must receive. */
export interface ScriptedCall {
  tool: string
  /** Makes the input from the texts that the model received so far. */
  input: (texts: readonly string[]) => object
  text: RegExp
}

const call = (tool: string, input: object, text: RegExp): ScriptedCall => ({ tool, input: () => input, text })

/** Every tool that works without a model of the agent's own, on a real sandbox. */
export const sandboxCalls: readonly ScriptedCall[] = [
  call('run_code', { language: 'python', code: 'print(6 * 7)', timeoutSeconds: '30' }, /^42$/),
  call('write_file', { path: '~/notes.txt', content: 'one\ntwo\n' }, /^Wrote \/home\/agent\/notes\.txt \(8 bytes\)\.$/),
  call('edit_file', { path: '~/notes.txt', oldText: 'two', newText: '2', replaceAll: null }, /at line 2\.$/),
  call('read_file', { path: '~/notes.txt', startLine: null, lineCount: null }, /^one\n2\n$/),
  call('list_files', { path: '/home/agent' }, /notes\.txt \(6 bytes\)/),
  call('delete_file', { path: '~/notes.txt', recursive: false }, /^Deleted \/home\/agent\/notes\.txt\.$/),
  call('get_usage', {}, /^Spent: \$0\.\d\d .*There is no cap\.$/),
  call('get_agent', {}, /^agt_\w+.* is idle\.$/),
  call('pause_agent', {}, /is paused\.$/),
  call('resume_agent', {}, /is idle\.$/),
  call('create_agent', { name: 'second' }, /^agt_\w+ \(second\) is (idle|booting)\.$/),
  call('list_agents', {}, /\(second\).*\n.*is idle\.$/),
  { tool: 'terminate_agent', input: secondAgent, text: /^agt_\w+ is terminated\.$/ },
  { tool: 'get_agent', input: secondAgent, text: /is terminated\.$/ },
  call(
    'get_agent',
    { agentId: 'agt_none' },
    /^There is no sandbox agt_none of this user; there are agt_\w+, agt_\w+\.$/,
  ),
  call('terminate_agent', {}, /is terminated\.$/),
  call(
    'run_code',
    { language: 'bash', code: 'ls -A ~' },
    /^\[The sandbox of earlier calls is gone: .*\]\n\(no output\)$/,
  ),
]

/** The tools of tasks, on a server whose model is scripted. */
export const taskCalls: readonly ScriptedCall[] = [
  call('run_task', { task: 'Say hello.', timeoutSeconds: 30 }, /^Mocked answer .*\n\[cost: \$0\.0\d\]$/),
  call('start_task', { task: 'Wait. theazo:hang' }, /^Started task_\w+\./),
  { tool: 'get_task', input: lastTask, text: /^task_\w+ is running\.\n/ },
  { tool: 'cancel_task', input: lastTask, text: /^Cancelled task_\w+\.$/ },
  { tool: 'get_task', input: lastTask, text: /^task_\w+ is cancelled\.\n/ },
]

function secondAgent(texts: readonly string[]): object {
  return { agentId: texts.find((text) => text.includes('(second)'))?.match(/agt_\w+/)?.[0] }
}

function lastTask(texts: readonly string[]): object {
  return { taskId: texts.findLast((text) => text.startsWith('Started'))?.match(/task_\w+/)?.[0] }
}
