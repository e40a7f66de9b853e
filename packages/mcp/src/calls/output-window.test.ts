import { expect, test } from 'vitest'
import { OutputWindow } from './output-window.ts'

test('short output is returned whole, once', () => {
  const output = new OutputWindow(10)
  for (const chunk of ['12345', '678', '90']) output.add(chunk)
  expect(output.take()).toEqual({ text: '1234567890', isCut: false })
  expect(output.take()).toEqual({ text: '', isCut: false })
})

test('long output is cut to its start and its end, whatever the size of its chunks', () => {
  const text = Array.from({ length: 1000 }, (_, index) => String(index % 10)).join('')
  for (const size of [1, 7, 300, 1000]) {
    const output = new OutputWindow(20)
    for (let start = 0; start < text.length; start += size) output.add(text.slice(start, start + size))
    const expected = '0123456789\n[… 980 of 1000 characters cut …]\n0123456789'
    expect(output.take()).toEqual({ text: expected, isCut: true })
    output.add('next')
    expect(output.take()).toEqual({ text: 'next', isCut: false })
  }
})

test('a cut never leaves half of a surrogate pair', () => {
  const output = new OutputWindow(2)
  output.add('😀😀😀')
  expect(output.take().text.isWellFormed()).toBe(true)
})
