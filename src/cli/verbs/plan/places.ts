/** Models, hardware and routing by name, or by the path of a file. */
import { at } from '../../../core/math.ts';
import { hardwareNamed } from '../../../hardware/profiles/named.ts';
import type { Profile } from '../../../hardware/profiles/profile.ts';
import { MOST_JSON_BYTES } from '../../../model/safetensors/strict-json.ts';
import { readModelFacts } from '../../../planner/models/config-json.ts';
import type { ModelFacts } from '../../../planner/models/facts.ts';
import { modelNamed } from '../../../planner/models/named.ts';
import { readHardware } from '../../../planner/project/hardware-file.ts';
import {
  isRoutingPath,
  recordedRouting,
  routingNamed,
  type RoutedShape,
  type Routing,
} from '../../../planner/serving/routing.ts';
import { platformHere } from '../../session.ts';
import { readTraces } from '../routing/load-trace.ts';

/** The model of a name, or of the path of its config.json. */
export async function modelAt(name: string): Promise<ModelFacts> {
  if (!/[/\\].*|\.json$/.test(name) || !/\.json$|[/\\]$|^[./~]/.test(name)) return modelNamed(name);
  const path = name.endsWith('.json') ? name : `${name.replace(/[/\\]+$/, '')}/config.json`;
  const title = at(path.split(/[/\\]/).slice(-2), 0) || path;
  return readModelFacts(await platformHere().readFile(path, MOST_JSON_BYTES), title, path);
}

/** The hardware of a name, or of the path of a JSON file. */
export async function hardwareAt(name: string): Promise<Profile> {
  if (!isHardwarePath(name)) return hardwareNamed(name);
  return readHardware(await platformHere().readFile(name, MOST_JSON_BYTES), name);
}

/** Whether a text of the option or column `hardware` is a path, and no name. */
const isHardwarePath = (name: string): boolean => name.endsWith('.json');

/** The routing of a law, or of a trace of the model's shape. */
export async function routingAt(text: string, shape: RoutedShape): Promise<Routing> {
  return isRoutingPath(text) ? recordedRouting(await readTraces(text), shape, text) : routingNamed(text);
}
