import { patch } from '../scenarios/patch.js'
import { makeBed } from './bed.js'

patch(makeBed)
