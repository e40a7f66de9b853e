import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'

/** An authorization server. */
export interface TestIssuer extends AsyncDisposable {
  issuer: string
  /** What the server does, and the paths that clients have fetched. */
  state: {
    isDown: boolean
    /** The answer at the URL of RFC 8414. With `page` and `redirect`, the metadata is at that of OpenID Connect. */
    firstAnswer: 'metadata' | 'page' | 'redirect'
    claimedIssuer: string
    fetchedPaths: (string | undefined)[]
  }
  /** A token that is valid for the audience, except for the given claims. */
  sign: (claims?: object, key?: CryptoKey) => Promise<string>
}

const openIdPath = '/.well-known/openid-configuration'
const metadataPaths = { metadata: '/.well-known/oauth-authorization-server', page: openIdPath, redirect: openIdPath }

/** Starts an authorization server that signs tokens for one audience. */
export async function startIssuer(audience: string): Promise<TestIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const state: TestIssuer['state'] = { isDown: false, firstAnswer: 'metadata', claimedIssuer: '', fetchedPaths: [] }
  const server = createServer(({ url }, response) => {
    state.fetchedPaths.push(url)
    const send = (body: object) => response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
    if (state.isDown) return response.writeHead(500).end()
    const isFirst = url === '/.well-known/oauth-authorization-server'
    if (isFirst && state.firstAnswer === 'page') return response.end('<p>Welcome</p>')
    if (isFirst && state.firstAnswer === 'redirect') return response.writeHead(302, { location: '/login' }).end('moved')
    if (url === metadataPaths[state.firstAnswer]) {
      return send({ issuer: state.claimedIssuer, jwks_uri: `${issuer}/keys` })
    }
    if (url !== '/keys') return response.writeHead(404).end()
    return exportJWK(publicKey).then((key) => send({ keys: [{ ...key, kid: 'one', alg: 'ES256' }] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a server that listens on a TCP port
  const issuer = `http://127.0.0.1:${port}`
  state.claimedIssuer = issuer
  const sign = async (claims: object = {}, key = privateKey) => {
    const all = { iss: issuer, aud: audience, sub: 'ada', exp: Date.now() / 1000 + 60, scope: 'run read', ...claims }
    return await new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(key)
  }
  return {
    issuer,
    state,
    sign,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
