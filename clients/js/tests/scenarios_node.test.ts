import { performAll } from './scenarios/all';
import { node } from './support/environments/node';

performAll(node);
