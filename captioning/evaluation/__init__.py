"""Caption the test split with every model, alone, together and reranked; score it; compare it with baselines."""

from captioning.evaluation.baselines import baselines, score_sets
from captioning.evaluation.choosing import Consensus
from captioning.evaluation.evaluate import Stores, evaluate, evaluate_all, readable
from captioning.evaluation.kept import KeptCaptions
from captioning.evaluation.near import NearPictures
from captioning.evaluation.scoring import check, references_of, score_results

__all__ = ["Consensus", "KeptCaptions", "NearPictures", "Stores", "baselines", "check", "evaluate", "evaluate_all"]
__all__ += ["readable", "references_of", "score_results", "score_sets"]
