import { expect, test } from 'vitest'
import { parseFlags } from './flags.ts'
import { unsetPlaceholders } from './unset-placeholders.ts'

test('without flags: the API, a new sandbox, the default tools, images, and an idle timeout of 30 minutes', () => {
  expect(parseFlags([])).toEqual({
    isDoctor: false,
    http: undefined,
    show: undefined,
    isLocal: false,
    userId: undefined,
    sandboxName: undefined,
    groups: undefined,
    isReadOnly: false,
    hasImages: true,
    approve: [],
    idleTimeoutSeconds: 1800,
    answerSeconds: 45,
    protocol: 'auto',
  })
})

test('every flag is parsed', () => {
  const line =
    '--user-id=ada --sandbox work --toolsets code,usage --read-only --no-images --idle-timeout 60 --answer-within 20 --protocol 2026-07-28 --approve run_code,terminate_agent --version'
  expect(parseFlags(line.split(' '))).toEqual({
    isDoctor: false,
    http: undefined,
    show: 'version',
    isLocal: false,
    userId: 'ada',
    sandboxName: 'work',
    groups: ['code', 'usage'],
    isReadOnly: true,
    hasImages: false,
    approve: ['run_code', 'terminate_agent'],
    idleTimeoutSeconds: 60,
    answerSeconds: 20,
    protocol: '2026-07-28',
  })
  expect(parseFlags(['--toolsets', 'code, all']).groups).toBe('all')
  expect(parseFlags(['--toolsets', 'tasks,task,agents']).groups).toEqual(['task', 'background-tasks', 'lifecycle'])
  expect(parseFlags(['--local'])).toMatchObject({ isLocal: true, show: undefined })
  expect(parseFlags(['-h']).show).toBe('help')
  expect(parseFlags(['http', '--host', '0.0.0.0', '--help'])).toMatchObject({ show: 'help', http: undefined })
  expect(parseFlags(['http', '--host', '127.1.2.3', '--auth', 'none']).http).toMatchObject({ host: '127.1.2.3' })
  expect(() => parseFlags(['--local', '--sandbox', 'work'])).toThrow('cannot be combined with --local')
})

test('http: this machine only, and the API key of each client or the token of the environment', () => {
  const loopback = ['127.0.0.1', 'localhost', '[::1]']
  const defaults = {
    host: '127.0.0.1',
    port: 4021,
    allowedHosts: loopback,
    allowedOrigins: [],
    maxSessionsPerUser: 100,
  }
  expect(parseFlags(['http']).http).toEqual({ ...defaults, auth: { type: 'api-key' } })
  expect(parseFlags(['http', '--local']).http).toEqual({ ...defaults, auth: { type: 'none' } })
  const environment = { THEAZO_MCP_TOKEN: 'a-token-of-24-characters' }
  const auth = { type: 'token', token: 'a-token-of-24-characters' }
  expect(parseFlags(['http', '--local'], environment).http).toEqual({ ...defaults, auth })
  const line =
    'http --host 0.0.0.0 --port 0 --allow-host MCP.example.com --allow-origin https://a.example --sandbox work'
  expect(parseFlags(line.split(' '))).toMatchObject({
    sandboxName: 'work',
    http: {
      host: '0.0.0.0',
      port: 0,
      allowedHosts: [...loopback, 'mcp.example.com'],
      allowedOrigins: ['https://a.example'],
    },
  })
})

test('http: with an issuer, its tokens are accepted, and the host of the audience is allowed', () => {
  const line = 'http --oauth-issuer https://login.example --oauth-audience https://mcp.example/mcp --oauth-scope run'
  expect(parseFlags(line.split(' ')).http).toMatchObject({
    auth: {
      type: 'oauth',
      resource: 'https://mcp.example/mcp',
      authorizationServers: ['https://login.example'],
      requiredScopes: ['run'],
    },
    allowedHosts: ['127.0.0.1', 'localhost', '[::1]', 'mcp.example'],
  })
})

test.each([
  [['--colour'], "Unknown option '--colour'. See theazo-mcp --help."],
  [['http', '--host', '0.0.0.0'], /^--host 0\.0\.0\.0 needs --allow-host NAME/],
  [['http', '--host', '127.example.com', '--auth', 'none'], /^--auth none is only for this machine/],
  [['http', '--host', '127.0.0.1.example.com'], /^--host 127\.0\.0\.1\.example\.com needs --allow-host NAME/],
  [['http', '--host', '0.0.0.0', '--auth', 'none'], /^--auth none is only for this machine/],
  [['http', '--auth', 'token'], /^THEAZO_MCP_TOKEN must have at least 16 characters/],
  [['http', '--auth', 'basic'], "--auth must be api-key, token, oauth or none, not 'basic'."],
  [['http', '--auth', 'oauth'], '--auth oauth needs --oauth-issuer and --oauth-audience.'],
  [['http', '--oauth-issuer', 'https://a.example'], '--auth oauth needs --oauth-issuer and --oauth-audience.'],
  [['http', '--oauth-issuer', 'http://a.example'], /^--oauth-issuer needs a URL such as https:/],
  [['http', '--auth', 'none', '--oauth-scope', 'a'], "The flags --oauth-… are only for --auth oauth, not for 'none'."],
  [['http', '--max-sessions-per-user', '0'], "--max-sessions-per-user needs a whole number from 1 to 100000, not '0'."],
  [['--protocol', '2024-11-05'], "--protocol must be auto, 2025-11-25, 2026-07-28, not '2024-11-05'."],
  [['http', '--local', '--auth', 'api-key'], /^--auth api-key cannot be combined with --local/],
  [['http', '--port', '65536'], "--port needs a whole number from 0 to 65535, not '65536'."],
  [['http', '--allow-host', 'a.example:80'], /^--allow-host needs a host name without a port/],
  [['http', '--allow-origin', 'https://a.example/'], /^--allow-origin needs an origin/],
  [['http', '--answer-within', '1800'], '--idle-timeout must be longer than --answer-within, which is 1800.'],
  [['--port', '1'], "Unknown option '--port'. See theazo-mcp --help."],
  [['serve'], "Unexpected argument 'serve'. See theazo-mcp --help."],
  [['--user-id'], '--user-id needs a value. See theazo-mcp --help.'],
  [['--sandbox', '--local'], '--sandbox needs a value. See theazo-mcp --help.'],
  [['--local=yes'], "Option '--local' does not take an argument. See theazo-mcp --help."],
  [['--user-id='], '--user-id needs a name of 1 to 256 characters.'],
  [['--sandbox', 'x'.repeat(129)], '--sandbox needs a name of 1 to 128 characters.'],
  [['--toolsets', 'code,network'], /^--toolsets has no group 'network'. Valid: code, files, .*, all\.$/],
  [['--toolsets='], /^--toolsets has no group ''/],
  [['--toolsets', 'constructor'], /^--toolsets has no group 'constructor'/],
  [['--toolsets', 'code', '--read-only'], /^--read-only leaves no tool/],
  [['--idle-timeout', '59'], "--idle-timeout needs a whole number of seconds from 60 to 604800, not '59'."],
  [['--idle-timeout', '604801'], "--idle-timeout needs a whole number of seconds from 60 to 604800, not '604801'."],
  [['--idle-timeout', '1e3'], "--idle-timeout needs a whole number of seconds from 60 to 604800, not '1e3'."],
  [['--approve', 'run_code,all'], /^--approve has no tool 'all'\. Valid: run_code, /],
  [['--answer-within', '0'], "--answer-within needs a whole number of seconds from 1 to 3600, not '0'."],
])('%j is refused with a message of one line', (argv, message) => {
  expect(() => parseFlags(argv)).toThrow(message)
})

test('an environment variable that is empty or an unfilled placeholder counts as not set', () => {
  const environment = { A: '', B: ' ', C: '${user_config.api_key}', D: 'th_live_1', E: '' }
  unsetPlaceholders(environment, ['A', 'B', 'C', 'D', 'F'])
  expect(environment).toEqual({ D: 'th_live_1', E: '' })
})
