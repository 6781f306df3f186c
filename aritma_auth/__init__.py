"""
The asyncio-first client for Aritma ID and Aritma's Open Banking APIs.

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""
