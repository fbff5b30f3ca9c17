import { performAll } from './scenarios/all';
import { simulator } from './support/environments/simulator';

performAll(simulator);
