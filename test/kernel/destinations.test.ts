import { destinations } from '../scenarios/destinations.js'
import { makeBed } from './bed.js'

destinations(makeBed)
