"""How far a good implementation's answer may lie from the exact one: derived from the arithmetic, not picked.

Rounding is modelled as usual, ``fl(a op b) = (a op b)(1 + d) + t`` with ``|d| <= u``, and ``|t|`` at most the
smallest normal number where the operation underflows (a kernel may flush subnormals). u is the unit roundoff of the
dtype in which a good implementation COMPUTES: float32 for an input of float16, bfloat16 or float32, float64 for one of
float64 (S14). Terms are of first order in u. For one row, with ``m = max x``, ``s = sum exp(x_i - m)``, ``p =
softmax(x)``, ``l_c = -log p_c``:

**log p_c** comes out as ``(x_c - m) - log s``:

- the subtraction of the maximum: ``u |x_c - m|`` (term *shift*);
- each ``exp(x_i - m)`` of a rounded argument has the relative error ``u |x_i - m|``, which reaches s weighted by p_i:
  ``u sum p_i |x_i - m|`` (*exponentials*), exp's own rounding and that of the log of a number near 1: ``2 u`` (*exp
  and log*);
- adding up s in any order: ``(C - 1) u`` (*class sum*); log turns relative errors of s into absolute ones;
- log's own rounding and that of its uses: ``2 u log s`` (*log*); the last subtraction: ``u l_c`` (*result*).

These six sum to B_c, the error of l_c. It is the analysis of the shifted log-sum-exp of Blanchard, Higham and Higham
(IMA J. Numer. Anal. 41, 2021; section 4), kept per row instead of maximised over it; summation: Higham, Accuracy and
Stability of Numerical Algorithms, chapter 4. What the value and the gradients make of B_c stands in value.py and
gradients.py.

All add *underflow* and half an ulp of the output dtype, subnormal spacing included (*output rounding*): input's dtype
for the value and its gradient, target's and weight's own for theirs. Rows that ignore_index excludes have bound 0:
their value and gradient are exactly 0 (S12).

A total of inf says that the answer is NOT DETERMINED, and anything agrees: the sum of weights that divides cancels so
far that rounding decides it, or it is 0 and the gradient of a division by 0 is asked for. Where the exact answer is
nan or inf the bound is 0: what counts is the place.
"""

from __future__ import annotations

from .gradients import gradient_bound, target_gradient_bound, weight_gradient_bound
from .rows import Bound, ulp
from .value import value_bound

__all__ = ["Bound", "gradient_bound", "target_gradient_bound", "ulp", "value_bound", "weight_gradient_bound"]
