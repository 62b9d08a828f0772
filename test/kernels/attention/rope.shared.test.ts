import { testFamily } from '../support.ts';

testFamily('rope');
