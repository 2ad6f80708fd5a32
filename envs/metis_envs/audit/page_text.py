"""The fixed words of docs/tasks.md."""

__all__ = ["INTRODUCTION", "LOOKS", "PROBES_TABLE"]

INTRODUCTION = """\
# The tasks, and what gives them away

For every task it is known what a tool call is worth. *Blind accuracy* is the best accuracy that is possible without a
tool, given the view, the question and the options. *Minimal calls* are those of the most accurate plan, and of these
the shortest. A task is `none` if the view leaves one answer, `required` if it leaves all of them, `partial` in between.

All that is worth little if something else than looking tells whether a tool is needed, which one, or what the answer
is. So `metis-gym audit` lets guessers learn on some tasks and guess on others, and holds how often they are right
against a limit. It audits families and tasksets of one's own as well (`metis-gym audit my_pkg.tasks:Dots`), and says
what it could not probe, and why.

The examples below are of the test split. Their images are stored as JPEG; the tasks' own are exact.
"""

PROBES_TABLE = """\
| probe | what the guesser sees | limit |
|---|---|---|
| words → necessity | question and options: runs of letters, lengths, values | .55; .60 over several families |
| words → tool | the same, among tasks that need a tool | most frequent tools + .10 |
| image statistics → necessity | colours, edges and sizes of the whole image, by trees of depth 1, 3, 5 | .60 |
| thumbnail → necessity | the view at 16 × 16 px: convolutions with patches, a support vector machine | .60 |
| words → answer | the question and each option; of open questions, each possible answer | chance + .05 |
| blind with tools | what text search finds for the question and each candidate; never an image | chance + .05 |
| gold position | most frequent place; place in the other split, in another family, at the same seed | chance + .05 |
| views of all answers | sums of the source's cells, for up to 8 answers: equal inside a block only | all |
| print in the view, none | the enlarged view, by tesseract | ≥ .95 of plain print |
| print in the view, required | the same | chance |
| print in the crop, required | the full-resolution crop, by tesseract | ≥ .90 of plain print |

Where necessity is guessed, there are as many tasks of each kind, so that chance is .5; of three kinds, the two count
that are told apart best. Every task is held out once, in five folds; of several guessers, the one guesses that is best
on the other four. Intervals are Wilson's at 95 %, widened for the number of pairs (Bonferroni). A limit is *kept* when
the share keeps to it, *broken* when the whole interval is beyond it, and *unclear* in between, which more tasks decide.
At 400 tasks, a leak with which a guesser is right in .63 of them breaks the limit of .55 in nine audits out of ten, and
one of .68 that of .60. Words are known without drawing, so that more tasks can be looked at: of 1,600, .59 suffices.

The views are no sample: one task that is wrong breaks the limit. Image search is not part of "blind with tools": it
looks at the image. Print is read as one of up to four answers, by what tesseract makes of each drawn plainly. A detail
that it does not tell apart even then is no print, and is not probed.
"""

LOOKS = """\
## What still looks made

Sixty shuffled images were sorted by eye, half of them real photographs and documents, half of them tasks of all
families. Someone who knew the families told all thirty. Mended since, or before: skies and hills without depth, things
without form, smooth walls, boards without joints, sheets on photographs of something else, mottled postcards. What
still gives images away:

- All print is in seven fonts that come with matplotlib, of one ink, clean and sharp: no wear, no handwriting.
- Signs, sheets and posters face the camera. They are turned by a few degrees, and hardly tilted.
- Things stand in rows, keep their distance and carry labels of one kind (`spotting`, `relations`). Each has its own
  light, not that of one sun.
- Far worksheets are small ones, on the same surface as the near one. Signs before a photograph hang in the air.
- There are no people, and hardly anything that is not part of the task. Bricks of the train split are one photograph,
  enlarged and soft.
- Flags and their poles are drawn. Postcards are water colours by one hand, not photographs.
- Lines of `charts` go up and down at random. In `patches`, squares of one colour lie on a photograph.
"""
