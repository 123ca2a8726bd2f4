// The error that everything this machine refuses becomes: it says what was asked, what is in the way
// and what to do.

import { meaningOf } from './meanings.js'
import type { KnownFailure, Request } from './meanings.js'
import type { DestinationKey } from '../types/destination.js'
import type { IpvsErrorCode, IpvsErrorDetails, IpvsErrorShape } from '../types/error.js'
import type { ServiceKey } from '../types/service.js'

// Registered, so that an error made by another copy of this package is known as one too.
const brand = Symbol.for('ipvs-netlink.IpvsError')

/** Whatever the kernel or this machine refuses. Match on {@link code}. */
export class IpvsError extends Error implements IpvsErrorDetails {
  /** `'IpvsError'`. */
  override readonly name = 'IpvsError'
  readonly code: IpvsErrorCode
  readonly errno: number
  readonly command: string
  declare readonly service?: ServiceKey
  declare readonly destination?: DestinationKey
  declare readonly kernelMessage?: string
  declare readonly line?: number
  declare readonly errors?: readonly IpvsErrorShape[]

  constructor(message: string, details: IpvsErrorDetails, options?: ErrorOptions) {
    super(message, options)
    this.code = details.code
    this.errno = details.errno
    this.command = details.command
    if (details.service !== undefined) this.service = details.service
    if (details.destination !== undefined) this.destination = details.destination
    if (details.kernelMessage !== undefined) this.kernelMessage = details.kernelMessage
    if (details.line !== undefined) this.line = details.line
    if (details.errors !== undefined) this.errors = details.errors
    Object.defineProperty(this, brand, { value: true })
  }

  /** Whether a value is an `IpvsError`, of this or of another copy of the package. */
  static is(value: unknown): value is IpvsError {
    return typeof value === 'object' && value !== null && brand in value
  }
}

/** What an error says after what could not be done. */
const reasons = new WeakMap<IpvsError, string>()

const errorBecause = (
  what: string,
  why: string,
  details: IpvsErrorDetails,
  options?: ErrorOptions,
): IpvsError => {
  const error = new IpvsError(`Cannot ${what}: ${why}`, details, options)
  reasons.set(error, why)
  return error
}

/** The error for a failure that the addon answered. */
export const errorFor = (failure: KnownFailure, request: Request): IpvsError => {
  const { code, why } = meaningOf(failure, request)
  const words = failure.text === '' ? '' : ` (the kernel says: ${failure.text})`
  const details = {
    code,
    // So that none is 0, which -0 is not to everybody.
    errno: 0 - failure.errno,
    command: request.command,
    ...(request.service && { service: request.service }),
    ...(request.destination && { destination: request.destination }),
    ...(failure.text !== '' && { kernelMessage: failure.text }),
  }
  const { cause } = failure
  return errorBecause(request.what(), `${why}${words}`, details, cause && { cause })
}

/** Whether an error says that a change may have been made. */
export const isUnknown = (error: unknown): error is IpvsError =>
  IpvsError.is(error) && error.code === 'ERR_IPVS_OUTCOME_UNKNOWN'

/**
 * Of what went wrong at once one error, of which {@link IpvsError.errors} has all: it says the first,
 * or the first after which a change may have been made.
 */
export const errorOfAll = (errors: readonly IpvsError[]): IpvsError | undefined => {
  const told = errors.find(isUnknown) ?? errors[0]
  if (!told || errors.length === 1) return told
  const others = errors.filter((each) => each !== told)
  const { code, errno, command, kernelMessage } = told
  return new IpvsError(
    `${told.message} (and ${others.length} more)`,
    {
      code,
      errno,
      command,
      ...(kernelMessage !== undefined && { kernelMessage }),
      errors: [told, ...others],
    },
    { cause: told.cause ?? told },
  )
}

const closed = { code: 'ERR_IPVS_CLOSED', errno: 0, command: '' } as const

export const closedErrorSaying = (message: string): IpvsError => new IpvsError(message, closed)

export const closedError = (what: string): IpvsError =>
  errorBecause(`do '${what}'`, 'the handle was closed', closed)

const abortErrorWith = (message: string, cause: unknown): Error => {
  const error = new Error(message, { cause })
  error.name = 'AbortError'
  return Object.assign(error, { code: 'ABORT_ERR' })
}

export const abortErrorSaying = (message: string, signal: AbortSignal): Error =>
  abortErrorWith(message, signal.reason)

/** The error of a call that was given up; `sent` says that the kernel may have carried it out. */
export const abortError = (signal: AbortSignal, sent: boolean): Error =>
  abortErrorSaying(
    sent
      ? 'The call was aborted after it was sent: the kernel may have carried it out'
      : 'The call was aborted before it was sent',
    signal,
  )

/**
 * An error of a call that another one was made of, in the other's words: `tell` is given why it failed.
 * What is neither an `IpvsError` nor an `AbortError` stays as it is.
 */
export const retold = (error: unknown, tell: (why: string) => string): unknown => {
  if (IpvsError.is(error)) {
    return new IpvsError(tell(reasons.get(error) ?? error.message), error, { cause: error })
  }
  const isAbort = error instanceof Error && error.name === 'AbortError'
  return isAbort ? abortErrorWith(tell(error.message), error.cause) : error
}

export type { KnownFailure, Request }
