// Columns are made by the addon; what is left to do with them is here.

import { familyOf, formatAddress } from './address.js'
import { takeInteger } from './validate.js'
import type { AddressColumns } from '../types/columns.js'

/** The text of the address of an entry of columns, in canonical form (RFC 5952). */
export const addressAt = ({ family, address }: AddressColumns, index: number): string => {
  takeInteger(index, 'index', 0, family.length - 1)
  return formatAddress(familyOf(family[index] ?? 0), address, 16 * index)
}
