import { performAll } from './scenarios/all';
import { Chromium } from './support/environments/chromium';

performAll(new Chromium());
