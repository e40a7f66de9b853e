/** An event id as a number; NaN for one that is no whole number. By hand, since it is asked for each event and `Number` costs a tenth of one. */
export function eventNumber(id: string): number {
  // More than 15 digits are not exact.
  let number = id === '' || id.length > 15 ? Number.NaN : 0
  for (let index = 0; index < id.length; index += 1) {
    const digit = id.charCodeAt(index) - 48
    number = digit >= 0 && digit <= 9 ? number * 10 + digit : Number.NaN
  }
  return number
}
