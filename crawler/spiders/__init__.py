"""The one spider: it knows Scrapy and the frontier, and no site."""
