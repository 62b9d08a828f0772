import { testFamily } from '../support.ts';

testFamily('internal');
