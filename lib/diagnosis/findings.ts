// One thing that was looked at, and how it is made.

import type { DiagnosisCode, DiagnosisFinding } from '../../types/diagnosis.js'

export const error = (code: DiagnosisCode, message: string, cure: string): DiagnosisFinding => ({
  code,
  severity: 'error',
  message,
  cure,
})

export const warning = (code: DiagnosisCode, message: string, cure: string): DiagnosisFinding => ({
  code,
  severity: 'warning',
  message,
  cure,
})

export const info = (code: DiagnosisCode, message: string): DiagnosisFinding => ({
  code,
  severity: 'info',
  message,
})

export const fine = (code: DiagnosisCode, message: string): DiagnosisFinding => ({
  code,
  severity: 'ok',
  message,
})
