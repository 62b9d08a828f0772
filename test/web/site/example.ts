/** The example of the package, as a page. */
import '../../../bench/examples/in-a-page.ts';
