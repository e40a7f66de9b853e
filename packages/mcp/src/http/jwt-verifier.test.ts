import { generateKeyPair } from 'jose'
import { expect, test } from 'vitest'
import { startIssuer } from '../testing/test-issuer.ts'
import { createJwtVerifier } from './jwt-verifier.ts'

const audience = 'https://mcp.example.com/mcp'
const options = { signal: new AbortController().signal }
const verifierOf = ({ issuer }: { issuer: string }) => createJwtVerifier({ issuer, audience })

test('a token of the issuer for this server is accepted, with its subject, scopes and expiry', async () => {
  await using login = await startIssuer(audience)
  expect(await verifierOf(login)(await login.sign(), options)).toEqual({
    subject: 'ada',
    scopes: ['run', 'read'],
    expiresAt: expect.any(Number),
  })
})

test('a token with a wrong claim, signature or form is not valid', async () => {
  await using login = await startIssuer(audience)
  const stranger = await generateKeyPair('ES256')
  const now = Date.now() / 1000
  const unsigned = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url')
  const tokens = await Promise.all([
    login.sign({ aud: 'https://other.example.com' }),
    login.sign({ iss: 'https://other.example.com' }),
    login.sign({ exp: now - 60 }),
    login.sign({ exp: undefined }),
    login.sign({ nbf: now + 60 }),
    login.sign({ sub: undefined }),
    login.sign({ sub: '' }),
    login.sign({ sub: 'x'.repeat(257) }),
    login.sign({}, stranger.privateKey),
    `${unsigned}.${(await login.sign()).split('.')[1]}.`,
    'not a token',
  ])
  for (const token of tokens) expect(await verifierOf(login)(token, options)).toBeUndefined()
})

test('keys are fetched once for many tokens', async () => {
  await using login = await startIssuer(audience)
  const verify = createJwtVerifier({ issuer: login.issuer, audience })
  for (let n = 0; n < 5; n += 1) expect(await verify(await login.sign(), options)).toBeDefined()
  expect(login.state.fetchedPaths).toEqual(['/.well-known/oauth-authorization-server', '/keys'])
})

test('an issuer that cannot be reached is an error and not a verdict; the next token tries again', async () => {
  await using login = await startIssuer(audience)
  const verify = createJwtVerifier({ issuer: login.issuer, audience })
  login.state.isDown = true
  await expect(verify(await login.sign(), options)).rejects.toThrow('has no metadata')
  login.state.isDown = false
  expect(await verify(await login.sign(), options)).toBeDefined()
})

test.each(['page', 'redirect'] as const)('a %s at the first metadata URL does not hide the second', async (answer) => {
  await using login = await startIssuer(audience)
  login.state.firstAnswer = answer
  expect(await verifierOf(login)(await login.sign(), options)).toMatchObject({ subject: 'ada' })
  expect(login.state.fetchedPaths.slice(1)).toEqual(['/.well-known/openid-configuration', '/keys'])
})

test('metadata of another issuer is refused', async () => {
  await using login = await startIssuer(audience)
  login.state.claimedIssuer = 'https://other.example.com'
  await expect(verifierOf(login)(await login.sign(), options)).rejects.toThrow('not that of the issuer')
})
