"""Caption the test split with every model, alone, together and reranked; score it; compare it with baselines."""

from captioning.evaluation.baselines import baselines, score_sets
from captioning.evaluation.comparing import by_seed, leads, plain, rankings
from captioning.evaluation.evaluating import CONSENSUS, ENSEMBLE, Stores, evaluate, evaluate_all
from captioning.evaluation.kept import KeptCaptions
from captioning.evaluation.near import NearPictures
from captioning.evaluation.scoring import check, references_of, score_results
