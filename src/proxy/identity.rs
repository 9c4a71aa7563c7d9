//! What tells a backend who is calling: forged headers are removed, the permit's are set (contract §8).
