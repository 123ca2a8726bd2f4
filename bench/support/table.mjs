// @ts-check
// The table that every contender builds, changes and reads; raw.c has the same one.

const port = 80
const firstService = 0x0a000001 // 10.0.0.1, and so on
const firstDestination = 0xc0a80001 // 192.168.0.1, and so on

/** @typedef {{ services: number, each: number }} Size each: destinations of a service */

/** @type {Map<number, string>} */
const texts = new Map()

/**
 * As in a daemon, which knows its servers by the same strings whenever it changes something.
 *
 * @param {number} value
 */
function address(value) {
  const text = texts.get(value) ?? [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
  texts.set(value, text)
  return text
}

/**
 * What our calls take: a service and a destination, for each destination of the table.
 *
 * @param {Size} size
 * @param {number} weight
 */
export function objects({ services, each }, weight) {
  const keys = Array.from({ length: services }, (_, index) => ({
    protocol: /** @type {const} */ ('tcp'),
    address: address(firstService + index),
    port,
  }))
  return keys.flatMap((service, owner) =>
    Array.from({ length: each }, (_, index) => ({
      service,
      destination: {
        address: address(firstDestination + owner * each + index),
        port,
        forwarding: /** @type {const} */ ('nat'),
        weight,
      },
    })),
  )
}

/**
 * The same as `ipvsadm` writes and reads it: one rule for each destination.
 *
 * @param {'-a' | '-e'} option
 * @param {Size} size
 * @param {number} weight
 */
export const rules = (option, size, weight) =>
  objects(size, weight).map(
    ({ service, destination }) =>
      `${option} -t ${service.address}:${port} -r ${destination.address}:${port} -m -w ${weight}`,
  )
