"""What Penult means: resources, use cases, plans. Imports no torch, grpc, faiss, sklearn or database."""
