import { generateKeyPairSync, sign } from 'node:crypto'

/**
 * A key and an untrusted certificate for a TLS server (RFC 5280, 4.1).
 *
 * @param names its host names (4.2.1.6). Default: it names nobody.
 */
export function selfSigned(names: readonly string[] = []): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ecdsaWithSha256 = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'))
  const name = der(0x30)
  const validity = der(0x30, der(0x17, Buffer.from('250101000000Z')), der(0x17, Buffer.from('490101000000Z')))
  const serial = der(0x02, Buffer.from([1]))
  const publicKeyInfo = publicKey.export({ type: 'spki', format: 'der' })
  const fields = [serial, ecdsaWithSha256, name, validity, name, publicKeyInfo]
  const version3 = der(0xa0, der(0x02, Buffer.from([2])))
  const body = der(0x30, ...(names.length === 0 ? fields : [version3, ...fields, extensionsOf(names)]))
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, privateKey))
  const base64 = der(0x30, body, ecdsaWithSha256, signature).toString('base64')
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { key, cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n` }
}

/** A subject alternative name. It is critical, because the subject is empty. */
function extensionsOf(names: readonly string[]): Buffer {
  const oid = der(0x06, Buffer.from('551d11', 'hex'))
  const value = der(0x30, ...names.map((name) => der(0x82, Buffer.from(name))))
  const critical = der(0x01, Buffer.from([0xff]))
  return der(0xa3, der(0x30, der(0x30, oid, critical, der(0x04, value))))
}

/** One ASN.1 value; none here is longer than 65,535 bytes. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const head = length < 128 ? [length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}
