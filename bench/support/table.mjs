// @ts-check
// The table that every contender builds and changes; raw.c has the same one.

const services = 100
const destinationsEach = 10
const port = 80

/** How many destinations a whole table has. */
export const destinations = services * destinationsEach

/** @param {number} index */
const serviceAddress = (index) => `10.0.0.${1 + index}`

/** @param {number} index */
const destinationAddress = (index) => `192.168.${(1 + index) >> 8}.${(1 + index) & 255}`

/**
 * What our calls take: a service and a destination, for each of the first `count` destinations.
 *
 * @param {number} count
 * @param {number} weight
 */
export const objects = (count, weight) =>
  Array.from({ length: count }, (_, index) => ({
    service: {
      protocol: /** @type {const} */ ('tcp'),
      address: serviceAddress(Math.floor(index / destinationsEach)),
      port,
    },
    destination: {
      address: destinationAddress(index),
      port,
      forwarding: /** @type {const} */ ('nat'),
      weight,
    },
  }))

/**
 * The same as `ipvsadm` writes and reads it: one rule for each destination.
 *
 * @param {'-a' | '-e'} option
 * @param {number} count
 * @param {number} weight
 */
export const rules = (option, count, weight) =>
  objects(count, weight).map(
    ({ service, destination }) =>
      `${option} -t ${service.address}:${port} -r ${destination.address}:${port} -m -w ${weight}`,
  )
