"""Half-made plug-ins: each breaks one rule of a contract, which its docstring names."""

import dataclasses
import itertools

import numpy as np

from metis_gym.dialects.metis import MetisDialect
from metis_gym.dialects.plain import PlainDialect
from metis_gym.errors import TaskIdError
from metis_gym.grading import CascadeGrader, Grade, GradingStep
from metis_gym.records import GoldAnswer, Necessity, Plan, TaskImage, ToolCall, ToolResult, ToolStatus
from metis_gym.rewards import SingleReward
from metis_gym.rewards.contract import Channel
from metis_gym.search.contract import TextHit
from metis_gym.testing.examples import ExampleTasks, example_task
from metis_gym.tools import SimpleTool
from metis_gym.variants import Variants

_counter = itertools.count()


def whole(task, **changes):
    return dataclasses.replace(task, **changes)


class ChanceOfItsOwn(ExampleTasks):
    """draw\\(\\) depends on its generator only"""

    def draw(self, rng):
        return f"example/{self.split}/{next(_counter)}"


class NoText(ExampleTasks):
    """draw\\(\\) returns a task id, a text"""

    def draw(self, rng):
        return 3


class Strange(ExampleTasks):
    """it knows the ids that it draws"""

    def draw(self, rng):
        return super().draw(rng).replace("example", "other")


class Unbuildable(ExampleTasks):
    """it can build what it draws"""

    def build(self, task_id):
        raise TaskIdError(f"cannot read {task_id!r}")


class NoTask(ExampleTasks):
    """build\\(\\) returns a metis_gym.records.Task"""

    def build(self, task_id):
        return "a task"


class OtherId(ExampleTasks):
    """a task has the id that it was drawn by"""

    def build(self, task_id):
        return whole(super().build(task_id), task_id="example/train/1")


class Changing(ExampleTasks):
    """the same id is the same task, to the byte"""

    def build(self, task_id):
        return whole(super().build(task_id), question=f"Question {next(_counter)}?")


class SameInBothSplits(ExampleTasks):
    """the splits share no task"""

    def build(self, task_id):
        return whole(example_task(int(task_id.rpartition("/")[2])), task_id=task_id)


class OtherFamily(ExampleTasks):
    """a task's family is one of the taskset's"""

    def build(self, task_id):
        return whole(super().build(task_id), family="other")


class Silent(ExampleTasks):
    """the question .* says something"""

    def build(self, task_id):
        return whole(super().build(task_id), question=" ")


class Grey(ExampleTasks):
    """the images .* are arrays of shape"""

    def build(self, task_id):
        flat = np.zeros((8, 8), np.uint8)
        return whole(super().build(task_id), images=(TaskImage(source=flat, view=flat),))


class LargeView(ExampleTasks):
    """the views .* are at most 448 pixels long"""

    def build(self, task_id):
        large = np.zeros((900, 900, 3), np.uint8)
        return whole(super().build(task_id), images=(TaskImage(source=large, view=large),))


class NoOption(ExampleTasks):
    """the gold answer .* names one of its options"""

    def build(self, task_id):
        return whole(super().build(task_id), options=("a", "b"), gold=GoldAnswer(value="Z"))


class WrongGold(ExampleTasks):
    """the gold answer .* is graded as right"""

    def build(self, task_id):
        return whole(super().build(task_id), options=(), gold=GoldAnswer(value=" "))


class GoldElsewhere(ExampleTasks):
    """the gold answer .* is one of the alternatives"""

    def build(self, task_id):
        return whole(super().build(task_id), alternatives=("no",))


class NoPlanAtOnce(ExampleTasks):
    """the plans .* hold one without calls"""

    def build(self, task_id):
        return whole(super().build(task_id), blind_accuracy=0.25, plans=(Plan(calls={"python": 1}, accuracy=1.0),))


class VariantsOfOthers(ExampleTasks):
    """the variants .* have its alternatives as answers"""

    def build(self, task_id):
        task = super().build(task_id)
        plans = (Plan(calls={}, accuracy=0.5),)
        return whole(task, alternatives=(task.gold.value, "other"), blind_accuracy=0.5, plans=plans)

    def variants(self, task_id, *, every=False):
        return Variants(("other",), lambda _: self.build(task_id))


class VariantsThatDiffer(VariantsOfOthers):
    """the variant .* with its own answer is the task"""

    def variants(self, task_id, *, every=False):
        task = self.build(task_id)
        return Variants(task.alternatives, lambda _: whole(task, question="Another?"))


class NeedsNothingAndCalls(ExampleTasks):
    """a task that needs no tool has a solution without calls"""

    def build(self, task_id):
        return whole(super().build(task_id), necessity=Necessity.NONE, solution=(ToolCall(name="python"),))


class NeedsAndSaysNothing(ExampleTasks):
    """a task that needs a tool says which calls solve it"""

    def build(self, task_id):
        return whole(super().build(task_id), necessity=Necessity.REQUIRED)


class OtherTools(ExampleTasks):
    """the tools of the solution .* are among the taskset's"""

    def build(self, task_id):
        solution = (ToolCall(name="text_search", arguments={"query": "q"}),)
        return whole(super().build(task_id), necessity=Necessity.REQUIRED, solution=solution)


class UnknownTools(ExampleTasks):
    """its tools are known"""

    tools = ("hammer",)


class Doubtful(ExampleTasks):
    """the necessity that a task states is proven"""

    def doubt(self, task_id):
        return "the views differ"


class NoFamilies(ExampleTasks):
    """it can be made from its spec.*families must be names"""

    families = ()


class LostParameter(ExampleTasks):
    """ids carry the parameters that tasks depend on"""

    def __init__(self, *, most=3, **others):
        super().__init__(**others)
        self.most = most

    def build(self, task_id):
        return whole(super().build(task_id), question=f"Is it below {self.most}?")


TASKSETS = {
    kind: f"{__name__}:{kind.__name__}"
    for kind in (
        *(
            ChanceOfItsOwn,
            NoText,
            Strange,
            Unbuildable,
            NoTask,
            OtherId,
            Changing,
            SameInBothSplits,
            OtherFamily,
            Silent,
        ),
        *(
            Grey,
            LargeView,
            NoOption,
            WrongGold,
            GoldElsewhere,
            NeedsNothingAndCalls,
            NeedsAndSaysNothing,
            NoPlanAtOnce,
            VariantsOfOthers,
            VariantsThatDiffer,
            OtherTools,
            Doubtful,
        ),
        NoFamilies,
        UnknownTools,
    )
} | {LostParameter: f"{__name__}:LostParameter:most=5"}


class WholeTool(SimpleTool):
    name = "whole"
    description = "Says something."
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    def run(self, task, arguments):
        return self.result(arguments["text"])


class Nameless(WholeTool):
    """it has no name"""

    name = ""


class BadSchema(WholeTool):
    """the type of 'text' must be one of"""

    schema = {"type": "object", "properties": {"text": {"type": "text"}}}


class NoObject(WholeTool):
    """schema must be"""

    schema = {"text": "string"}


class UnknownRequired(WholeTool):
    """required must list names of properties"""

    schema = {"type": "object", "properties": {}, "required": ["text"]}


class Unpriced(WholeTool):
    """it has no price"""

    def __init__(self):
        pass


class CalledInvalid(WholeTool):
    """its name must not be 'invalid'"""

    name = "invalid"


class OneAlias(WholeTool):
    """aliases must be a tuple of names"""

    aliases = "other"


class ReturnsText(WholeTool):
    """it returned str .* instead of a metis_gym.records.ToolResult"""

    def run(self, task, arguments):
        return "done"


class OtherName(WholeTool):
    """its result has the name 'other'"""

    def run(self, task, arguments):
        return ToolResult(name="other", status=ToolStatus.OK)


class FloatImage(WholeTool):
    """its images must be arrays"""

    def run(self, task, arguments):
        return ToolResult(name=self.name, status=ToolStatus.OK, images=(np.zeros((8, 8, 3)),))


class OneCaption(WholeTool):
    """returned 0 images with 1 captions"""

    def run(self, task, arguments):
        return ToolResult(name=self.name, status=ToolStatus.OK, captions=("a",))


class Raises(WholeTool):
    """a call that fits the schema never raises"""

    def run(self, task, arguments):
        return self.result(str(1 / len(arguments["text"])))


class Random(WholeTool):
    """gives the same result"""

    def run(self, task, arguments):
        return self.result(str(next(_counter)))


class Writes(WholeTool):
    """leaves the task's images as they are"""

    def run(self, task, arguments):
        source = task.images[0].source
        source.setflags(write=True)
        source[0, 0] += 1
        return self.result("done")


class Errs(WholeTool):
    """ends well"""

    def run(self, task, arguments):
        return self.error("no")


class NoSession(WholeTool):
    """open\\(\\) returns a ToolSession"""

    def open(self, task, *, seed):
        return None


TOOLS = (
    *(Nameless, BadSchema, NoObject, UnknownRequired, Unpriced, CalledInvalid, OneAlias, ReturnsText, OtherName),
    *(FloatImage, OneCaption, Raises, Random, Writes, Errs, NoSession),
)


class NamelessDialect(MetisDialect):
    """it has no name"""

    name = ""


class StopText(MetisDialect):
    """stop must be a tuple of texts"""

    stop = "</answer>"


class TellsNothing(MetisDialect):
    """the system turn tells of"""

    def system(self, tools, limits):
        return "Answer."


class LosesCalls(MetisDialect):
    """parse\\(\\) reads back the calls"""

    def write_calls(self, calls, reason=""):
        return super().write_calls(calls[:1], reason)


class LosesAnswers(MetisDialect):
    """parse\\(\\) reads back the answer"""

    def write_answer(self, answer, reason=""):
        return super().write_answer(answer.upper(), reason)


class BadFormat(MetisDialect):
    """what write_answer\\(\\) writes keeps the format"""

    def format_score(self, texts):
        return 0.0


class RaisesOnText(MetisDialect):
    """reading never raises"""

    def parse(self, text):
        return super().parse(text) if text.strip() else super().parse(text[0])


class ReturnsTuple(MetisDialect):
    """parse\\(\\) returns a ParsedTurn"""

    def parse(self, text):
        return super().parse(text) if text.strip() else ()


class Both(MetisDialect):
    """calls or an answer, never both"""

    def parse(self, text):
        parsed = super().parse(text)
        is_one = len(parsed.calls) == 1 and parsed.calls[0].problem
        return dataclasses.replace(parsed, answer="B") if is_one else parsed


class NoNote(MetisDialect):
    """has a note for the model"""

    def parse(self, text):
        return dataclasses.replace(super().parse(text), notes=())


class ScoresTwo(MetisDialect):
    """format_score is from 0 to 1"""

    def format_score(self, texts):
        return super().format_score(texts) or -1.0


class Quadratic(MetisDialect):
    """in proportion to the length"""

    def parse(self, text):
        sum(text[start:].count("<") for start in range(0, len(text), 8))
        return super().parse(text)


class NoImageMark(MetisDialect):
    """the prompt has the question, and one <image> for each image"""

    def prompt(self, task):
        return task.question


class NoOptions(MetisDialect):
    """the prompt has the options"""

    def prompt(self, task):
        return f"<image> {task.question}"


class Smuggles(MetisDialect):
    """none that a tool's output holds"""

    def observation(self, results, notes=()):
        return super().observation(results, notes) + "".join(result.output.replace("<image>", "") for result in results)


class DropsNotes(MetisDialect):
    """an observation has the output and the notes"""

    def observation(self, results, notes=()):
        return super().observation(results)


class DropsErrors(MetisDialect):
    """an observation has the output of a call that ended"""

    def observation(self, results, notes=()):
        kept = [result for result in results if result.status is not ToolStatus.INVALID]
        return super().observation(kept, notes)


class ActsInThoughts(MetisDialect):
    """what stands inside a thought"""

    thought = "think"


class ActsInQuotes(MetisDialect):
    """what stands inside a thought or a quote"""

    quote = "tool_response"


class NeedsItsStop(MetisDialect):
    """a turn that lacks its stop"""

    def parse(self, text):
        return super().parse(text if "</tool_call>" in text else text.replace("<tool_call>", ""))


class LosesImages(MetisDialect):
    """one <image> for each returned image"""

    def shown(self, result):
        return dataclasses.replace(result, images=result.images[:1], captions=result.captions[:1])


class PlainWithTools(PlainDialect):
    """the system turn tells of"""


DIALECTS = (
    *(NamelessDialect, StopText, TellsNothing, LosesCalls, LosesAnswers, BadFormat, RaisesOnText, ReturnsTuple, Both),
    *(NoNote, ScoresTwo, Quadratic, NoImageMark, NoOptions, Smuggles, DropsNotes, DropsErrors, PlainWithTools),
    *(ActsInThoughts, ActsInQuotes, NeedsItsStop, LosesImages),
)


class Score(SingleReward):
    """"""

    def score(self, outcome):
        return float(outcome.correct)


class NoScore(SingleReward):
    """it defines neither score nor scores"""


class NoReward:
    """lacks: reward"""

    name = "no reward"

    def components(self, outcome):
        return {"a": 1.0}

    channels = state_dict = load_state_dict = components


class BareComponents(Score):
    """components\\(\\) are finite numbers by name"""

    def components(self, outcome):
        return 1.0


class NotANumber(Score):
    """components\\(\\) are finite numbers by name"""

    def components(self, outcome):
        return {"reward": float("nan")}


class RewardOfText(Score):
    """components\\(\\) are finite numbers by name.*reward\\(\\) must return a finite number"""

    def reward(self, outcome):
        return "1"


class ChangingKeys(Score):
    """the same keys for every outcome"""

    def components(self, outcome):
        return {"reward" if outcome.correct else "punishment": 0.0}


class OtherReward(Score):
    """reward\\(\\) is the first of the components"""

    def reward(self, outcome):
        return 7.0


class PaysForFailures(Score):
    """an unscored episode is worth nothing"""

    def components(self, outcome):
        return {"reward": 1.0}


def channels(**changes):
    def made(self, groups):
        return tuple(dataclasses.replace(channel, **changes) for channel in Score.channels(self, groups))

    return made


class NegativeWeight(Score):
    """is a finite number of 0 or more"""

    channels = channels(weight=-1.0)


class NamelessChannel(Score):
    """channels have different names"""

    channels = channels(name="")


class ShortChannel(Score):
    """one entry for each episode"""

    channels = channels(advantages=np.zeros(1), members=np.ones(1, dtype=bool))


class NumbersAsMembers(Score):
    """one entry for each episode"""

    def channels(self, groups):
        return tuple(dataclasses.replace(c, members=c.members.astype(int)) for c in super().channels(groups))


class Infinite(Score):
    """are finite"""

    def channels(self, groups):
        return tuple(dataclasses.replace(c, advantages=c.advantages + np.inf) for c in super().channels(groups))


class CountsFailures(Score):
    """unscored episodes are no members"""

    def channels(self, groups):
        count = sum(map(len, groups))
        return (Channel(name="r", weight=1.0, advantages=np.ones(count), members=np.ones(count, dtype=bool)),)


class StateOfSets(Score):
    """its state is JSON"""

    def state_dict(self):
        return {"seen": {1, 2}}


class ForgetsState(Score):
    """load_state_dict\\(\\) takes up"""

    def __post_init__(self):
        super().__post_init__()
        self.count = 0

    def observe(self, outcomes):
        self.count += len(outcomes)

    def components(self, outcome):
        return {"reward": float(outcome.scored and outcome.correct)}

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        super().load_state_dict(state)


class SharesState(Score):
    """a saved state does not change"""

    def __post_init__(self):
        super().__post_init__()
        self.seen = []

    def observe(self, outcomes):
        self.seen += [outcome.task_id for outcome in outcomes]

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.seen = list(state["seen"])


class TakesAnyState(Score):
    """a state with unknown keys is refused"""

    def load_state_dict(self, state):
        pass


class Unpicklable(Score):
    """it can be pickled"""

    def __post_init__(self):
        super().__post_init__()
        self.function = lambda: None


DESIGNS = (
    *(NoScore, NoReward, BareComponents, NotANumber, RewardOfText, ChangingKeys, OtherReward, PaysForFailures),
    *(NegativeWeight, NamelessChannel, ShortChannel, NumbersAsMembers, Infinite, CountsFailures, StateOfSets),
    *(ForgetsState, SharesState, TakesAnyState, Unpicklable),
)


class NoGrade:
    """it has no grade"""


class PaysSilence(CascadeGrader):
    """no answer is graded 0"""

    def grade(self, answer, task):
        return super().grade(answer, task) if answer else Grade(0.0, GradingStep.NO_MATCH)


class Strict(CascadeGrader):
    """the gold answer is graded 1"""

    def grade(self, answer, task):
        grade = super().grade(answer, task)
        return dataclasses.replace(grade, score=grade.score / 2)


class Kind(CascadeGrader):
    """another option is not graded 1"""

    def grade(self, answer, task):
        grade = super().grade(answer, task)
        return grade if grade.step is GradingStep.NO_ANSWER else Grade(1.0, GradingStep.OWN)


class Moody(CascadeGrader):
    """grading is repeatable"""

    def grade(self, answer, task):
        grade = super().grade(answer, task)
        return dataclasses.replace(grade, score=next(_counter) % 7 / 7) if grade.step is GradingStep.TOO_LONG else grade


class RaisesOnAnswers(CascadeGrader):
    """grading never raises"""

    def grade(self, answer, task):
        return super().grade(answer and str(int(answer)), task) if answer == "a" else super().grade(answer, task)


class ReturnsNumber(CascadeGrader):
    """returned float .* instead of a metis_gym.grading.Grade"""

    def grade(self, answer, task):
        return super().grade(answer, task).score


class AboveOne(CascadeGrader):
    """a score must be from 0 to 1"""

    def grade(self, answer, task):
        grade = super().grade(answer, task)
        return dataclasses.replace(grade, score=grade.score * 2)


GRADERS = (NoGrade, PaysSilence, Strict, Kind, Moody, RaisesOnAnswers, ReturnsNumber, AboveOne)

HITS = tuple(TextHit(title=f"t{n}", snippet="an otter", link="", score=9.0 - n) for n in range(9))


class WholeEngine:
    """"""

    name = "whole"
    parameters = {}
    is_live = False

    def fingerprint(self):
        return "1"

    def search(self, query, *, limit):
        return HITS[:limit]

    def scores(self, query, passages):
        return [0.0] * len(passages)


class NoMeasure(WholeEngine):
    """it is a text engine, with scores\\(\\), or an image engine"""

    distances = WholeEngine.scores


class NoFingerprint(WholeEngine):
    """it has no fingerprint"""

    fingerprint = None


class OddParameters(WholeEngine):
    """its parameters are JSON"""

    parameters = {"a": {1}}


class TellsItsKey(WholeEngine):
    """its parameters hold no key"""

    parameters = {"api_key": "x"}


class HalfLive(WholeEngine):
    """is_live is true or false"""

    is_live = "no"


class NewFingerprints(WholeEngine):
    """a text that stays the same"""

    def fingerprint(self):
        return str(next(_counter))


class RaisesOnQueries(WholeEngine):
    """a search never raises"""

    def search(self, query, *, limit):
        return HITS[: limit // len(query.split())]


class ReturnsList(WholeEngine):
    """search\\(\\) returns a tuple of TextHit"""

    def search(self, query, *, limit):
        return list(HITS[:limit])


class Overflows(WholeEngine):
    """search\\(\\) keeps to the limit"""

    def search(self, query, *, limit):
        return HITS


class OtherHits(WholeEngine):
    """the same query gives the same hits"""

    def search(self, query, *, limit):
        return HITS[next(_counter) % 2 :][:limit]


class WorstFirst(WholeEngine):
    """hits come best first"""

    def search(self, query, *, limit):
        return HITS[:limit][::-1]


class MissingScore(WholeEngine):
    """scores\\(\\) gives each passage a number"""

    def scores(self, query, passages):
        return [0.0]


ENGINES = (
    *(NoMeasure, NoFingerprint, OddParameters, TellsItsKey, HalfLive, NewFingerprints, RaisesOnQueries, ReturnsList),
    *(Overflows, OtherHits, WorstFirst, MissingScore),
)


class WholeAgent:
    """"""

    name = "whole"

    def reset(self, rng):
        self.rng = rng

    def act(self, observation, info):
        return {"answer": "ABCD"[self.rng.integers(4)]}


class NamelessAgent(WholeAgent):
    """it has no name"""

    name = ""


class NoAct(WholeAgent):
    """it has no act"""

    act = None


class WantsTheTask(WholeAgent):
    """reset\\(rng\\) takes a generator"""

    def reset(self, task, rng):
        super().reset(rng)


class WantsTheAnswer(WholeAgent):
    """act\\(observation, info\\) never raises"""

    def act(self, observation, info):
        return {"answer": info["necessity"]}


class ActsNonsense(WholeAgent):
    """its actions are actions of the environment"""

    def act(self, observation, info):
        return 3


class HasMoods(WholeAgent):
    """depends on the episode and its generator only"""

    def act(self, observation, info):
        return {"answer": str(next(_counter))}


class HoldsAFunction(WholeAgent):
    """it can be pickled"""

    def __init__(self):
        self.function = lambda: None


class Remembers(WholeAgent):
    """depends on the episode and its generator only"""

    def __init__(self):
        self.episodes = 0

    def reset(self, rng):
        self.episodes += 1

    def act(self, observation, info):
        return {"answer": str(self.episodes)}


AGENTS = (NamelessAgent, NoAct, WantsTheTask, WantsTheAnswer, ActsNonsense, HasMoods, HoldsAFunction, Remembers)


class TakesAll(WholeEngine):
    """Not of the kind that it is named as."""

    def __init__(self, **_):
        pass
