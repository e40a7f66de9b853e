import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { isOwnAddress, isPublicAddress } from './public-address.ts'

/**
 * The first and the last address of each block of IANA's special-purpose registries for IPv4 and IPv6 that is not
 * globally reachable, and of the multicast and reserved blocks.
 */
const special = {
  'this network': ['0.0.0.0', '0.255.255.255'],
  'private 10/8': ['10.0.0.0', '10.255.255.255'],
  'shared (CGNAT)': ['100.64.0.0', '100.127.255.255'],
  loopback: ['127.0.0.0', '127.255.255.255'],
  'link local, and where clouds keep credentials': ['169.254.0.0', '169.254.169.254', '169.254.255.255'],
  'private 172.16/12': ['172.16.0.0', '172.31.255.255'],
  'IETF protocol assignments': ['192.0.0.0', '192.0.0.8', '192.0.0.170', '192.0.0.255'],
  'TEST-NET-1': ['192.0.2.0', '192.0.2.255'],
  '6to4 relays': ['192.88.99.0', '192.88.99.255'],
  'private 192.168/16': ['192.168.0.0', '192.168.255.255'],
  benchmarking: ['198.18.0.0', '198.19.255.255'],
  'TEST-NET-2': ['198.51.100.0', '198.51.100.255'],
  'TEST-NET-3': ['203.0.113.0', '203.0.113.255'],
  multicast: ['224.0.0.0', '239.255.255.255'],
  'reserved 240/4 and broadcast': ['240.0.0.0', '255.255.255.254', '255.255.255.255'],
  'unspecified and loopback of IPv6': ['::', '::1'],
  'IPv4-compatible': ['::8.8.8.8', '::127.0.0.1', '::a00:1'],
  'IPv4-mapped': ['::ffff:0:0', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:ffff:ffff'],
  'IPv4-translated': ['::ffff:0:8.8.8.8'],
  'NAT64 of addresses that are not public': ['64:ff9b::127.0.0.1', '64:ff9b::10.0.0.1', '64:ff9b::169.254.169.254'],
  'local NAT64': ['64:ff9b:1::', '64:ff9b:1::8.8.8.8', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  'discard only': ['100::', '100::ffff:ffff:ffff:ffff'],
  'dummy prefix': ['100:0:0:1::', '100:0:0:1:ffff:ffff:ffff:ffff'],
  Teredo: ['2001::', '2001:0:ffff:ffff:ffff:ffff:ffff:ffff'],
  'IETF protocol assignments of IPv6': ['2001:1::', '2001:1::4', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'benchmarking of IPv6': ['2001:2::', '2001:2:0:ffff:ffff:ffff:ffff:ffff'],
  'deprecated ORCHID': ['2001:10::', '2001:1f:ffff:ffff:ffff:ffff:ffff:ffff'],
  documentation: [
    '2001:db8::',
    '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
    '3fff::',
    '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff',
  ],
  '6to4': ['2002::', '2002:7f00:1::', '2002:808:808::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'segment routing': ['5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'unique local': ['fc00::', 'fd00:ec2::254', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'link local of IPv6': ['fe80::', 'fe80::1%lo', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'site local': ['fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'multicast of IPv6': ['ff00::', 'ff02::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'never allocated': ['::2', '1000::1', '4000::1', '8000::1', 'e000::1'],
}

test.each(Object.entries(special))('%s is not public', (_what, addresses) => {
  for (const address of addresses) expect([address, isPublicAddress(address)]).toEqual([address, false])
})

/** Addresses just outside those blocks, and other public ones. */
const ordinary = [
  ['1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0'],
  ['169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '191.255.255.255', '192.0.1.0', '192.0.3.0'],
  ['192.88.98.255', '192.88.100.0', '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0'],
  ['198.51.99.255', '198.51.101.0', '203.0.112.255', '203.0.114.0', '223.255.255.255', '8.8.8.8'],
  ['2001:200::', '2001:4860:4860::8888', '2001:db7:ffff::1', '2001:db9::1', '2003::1', '2606:4700::1111', '2a00::1'],
  ['3ffe:ffff::1', '3fff:1000::1', '64:ff9b::8.8.8.8'],
].flat()

test.each(ordinary)('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true)
})

test.each(['', 'example.org', '1.2.3', '0x7f.1', '08.8.8.8', '8.8.8.8 ', '::1::', '2606:4700::1111%eth0'])(
  '%j is not an address and therefore not public',
  (text) => {
    expect(isPublicAddress(text)).toBe(false)
  },
)

test("recognizes this machine's own addresses in every notation", () => {
  const own = Object.values(networkInterfaces()).flatMap((found = []) => found.map(({ address }) => address))
  expect(own).not.toHaveLength(0)
  for (const address of own) expect([address, isOwnAddress(address)]).toEqual([address, true])
  expect([isOwnAddress('93.184.1.1'), isOwnAddress('0:0::1')]).toEqual([false, own.includes('::1')])
})
