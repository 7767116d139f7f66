mod erasure;
