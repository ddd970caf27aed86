"""Makes an empty bucket (s3) or container (azure) on the emulator that the environment names.

usage: bucket.py s3|azure NAME
"""

import os
import sys


def make_bucket(name):
    import boto3

    boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket=name)


def make_container(name):
    from azure.storage.blob import BlobServiceClient

    account = os.environ["AZURE_STORAGE_ACCOUNT_NAME"]
    BlobServiceClient(
        f"{os.environ['AZURITE_BLOB_STORAGE_URL']}/{account}",
        credential={"account_name": account, "account_key": os.environ["AZURE_STORAGE_ACCOUNT_KEY"]},
    ).create_container(name)


if __name__ == "__main__":
    kind, name = sys.argv[1:]
    {"s3": make_bucket, "azure": make_container}[kind](name)
